import sys

import pytest
import timm
import torch
import torchvision.models as tv

from lcfcn.networks.pretrained import ModelError
from lcfcn.networks.registry import build_network


def test_a_trunk_of_timm_is_the_one_of_torchvision_where_both_have_it(tmp_path):
    trunk = tv.resnet18()
    torch.save(trunk.state_dict(), tmp_path / "resnet18.pth")
    ours, theirs = (
        build_network(name, 1, pretrained=str(tmp_path / "resnet18.pth"))
        for name in ("fpn_resnet18", "fpn_timm_resnet18")
    )
    theirs.decoder, theirs.score = ours.decoder, ours.score
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(images), ours.eval()(images))
        filled = torch.nn.functional.pad(images[..., :50, :70], (0, 26, 0, 14))
        assert torch.equal(theirs(images[..., :50, :70]), theirs(filled)[..., :50, :70])
    norms = [m for m in theirs.train().timm_32s.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 20
    assert not any(norm.training for norm in norms)


def test_a_trunk_of_timm_takes_the_weights_of_its_classifier_and_no_others(tmp_path):
    classifier = timm.create_model("convnext_atto")  # it has stem.0 and stages.0 where the trunk has stem_0, stages_0
    path = tmp_path / "convnext.pth"
    torch.save(classifier.state_dict(), path)
    network = build_network("fpn_timm_convnext_atto", 1, pretrained=str(path)).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = network.maps(images)[32]
        torch.testing.assert_close(coarsest, classifier.eval().forward_features(images))
    cut = {name: value for name, value in classifier.state_dict().items() if not name.startswith("stages.2.blocks.1")}
    torch.save(cut, path)
    with pytest.raises(ModelError, match=r"has nothing for timm_32s.stages_2.blocks.1"):
        build_network("fpn_timm_convnext_atto", 1, pretrained=str(path))


def test_timms_own_weights_are_asked_for_and_their_lack_is_told(tmp_path, monkeypatch):
    trunk = timm.create_model("resnet18", features_only=True)
    create = timm.create_model
    given = {True: trunk}
    monkeypatch.setattr(timm, "create_model", lambda *a, pretrained, **k: given.get(pretrained) or create(*a, **k))
    network = build_network("fpn_timm_resnet18", 1, pretrained="imagenet")
    assert torch.equal(network.timm_32s.conv1.weight, trunk.conv1.weight)
    monkeypatch.undo()
    # As where there is no network, without its repeated tries.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"weights of resnet18 could not be fetched .*model\.pretrained=PATH"):
        build_network("fpn_timm_resnet18", 1, pretrained="imagenet")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"needs timm, which is not installed: pip install 'lcfcn\[timm\]'"):
        build_network("fpn_timm_resnet18", 1)
