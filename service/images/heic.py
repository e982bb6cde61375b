"""Reads HEIC, which phones write, where the extra `heif` is installed."""

from __future__ import annotations

HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # after "ftyp" in the file


def register_heic() -> bool:
    """Teach Pillow the format HEIF; return whether the package for it is installed.

    Of pi-heif, and not pillow-heif: the wheels of that hold x265, which is GPL. libheif turns images upright itself.
    """
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
