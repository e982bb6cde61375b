from __future__ import annotations

import torch

from model.config import DecoderConfig
from model.decoder.decode import Decoder
from model.decoder.peaks import Candidates
from model.taxonomy import PASCAL_PERSON_PART
from training.studies.eager_parser import EagerDecoder


def test_matches_are_scipys_assignment_without_weak_or_invalid_pairs() -> None:
    config = DecoderConfig(max_candidates=3)
    decoder = EagerDecoder(PASCAL_PERSON_PART, config)
    assert isinstance(decoder, Decoder)
    limbs, joints = len(PASCAL_PERSON_PART.limbs), len(PASCAL_PERSON_PART.joint_names)
    valid = torch.ones(1, joints, 3, dtype=torch.bool)
    valid[:, :, 2] = False
    candidates = Candidates(**{n: valid if n == "valid" else torch.zeros(1) for n in Candidates._fields})
    # The greedy choice, 0.9 and then 0.1, is worse than both at 0.8; the third is no candidate.
    scores = torch.tensor([[0.9, 0.8, 1.0], [0.8, 0.1, 1.0], [1.0, 1.0, 1.0]]).expand(1, limbs, 3, 3)
    expected = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).expand(1, limbs, 3, 3)
    assert torch.equal(decoder.match(scores, candidates), expected)
    assert not decoder.match(scores * 0.01, candidates).any()
