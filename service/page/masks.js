// Reads COCO's compressed run-length masks into a grid of labels.

/** The lengths of the runs, outside and inside by turns: groups of 5 bits, the lowest first, differences from the fourth on. */
export function readCounts(text) {
  const counts = [];
  for (let i = 0; i < text.length; ) {
    let value = 0;
    let shift = 0;
    let group;
    do {
      group = text.charCodeAt(i++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16) value |= -1 << shift;
    counts.push(counts.length > 2 ? value + counts.at(-2) : value);
  }
  return counts;
}

/** A grid of labels, no larger than the image: a cell has the label of the pixel at its centre. */
export class Grid {
  constructor(imageWidth, imageHeight, longest) {
    this.scale = Math.min(1, longest / Math.max(imageWidth, imageHeight));
    this.width = Math.max(1, Math.round(imageWidth * this.scale));
    this.height = Math.max(1, Math.round(imageHeight * this.scale));
    this.labels = new Uint16Array(this.width * this.height);
    this.columnAt = new Int32Array(imageWidth).fill(-1); // the grid's column that a pixel column is the centre of
    for (let x = 0; x < this.width; x++) this.columnAt[Math.floor(((x + 0.5) * imageWidth) / this.width)] = x;
  }

  /** Write a label where the mask is; its runs go down the columns. */
  paint({ size: [height], counts }, label) {
    const row = (y) => Math.ceil((y * this.height) / height - 0.5);
    let position = 0;
    readCounts(counts).forEach((length, index) => {
      const end = position + length;
      while (index % 2 && position < end) {
        const top = position % height;
        const column = this.columnAt[(position - top) / height];
        const bottom = Math.min(height, top + end - position);
        if (column >= 0) for (let y = row(top); y < row(bottom); y++) this.labels[y * this.width + column] = label;
        position += bottom - top;
      }
      position = end;
    });
  }
}
