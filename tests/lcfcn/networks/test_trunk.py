import torch
import torchvision.models as tv

from lcfcn.networks.registry import build_network


def meta_base(name, n_classes=1, **options):
    with torch.device("meta"):
        return build_network(name, n_classes, **options)


def test_resnets_keep_their_batch_norm_and_leave_fc_out():
    network = build_network("fcn8_resnet18", 1)
    names = list(network.state_dict())
    assert "resnet18_32s.conv1.weight" in names
    assert "score_32s.bias" in names
    assert not [name for name in names if ".fc." in name]
    norm = network.resnet18_32s.layer1[0].bn1
    before = norm.running_mean.clone()
    network.train()(torch.rand(2, 3, 32, 32)).sum().backward()
    assert network.training
    assert not norm.training
    assert norm.weight.grad is None
    assert torch.equal(norm.running_mean, before)
    assert list(meta_base("fcn8_resnet").state_dict()) == list(meta_base("fcn8_resnet50").state_dict())


def test_batch_norm_from_scratch_learns_and_can_be_frozen():
    for freeze, learns in ((None, True), (True, False)):
        network = build_network("fcn8_mobilenet_v2", 1, freeze_batch_norm=freeze)
        norm = network.mobilenet_v2_32s.features[0][1]
        before = norm.running_mean.clone()
        network.train()(torch.rand(2, 3, 64, 64))
        assert torch.equal(norm.running_mean, before) != learns
        assert norm.weight.requires_grad == learns


def test_mobilenet_weights_load_and_give_torchvisions_features(shared):
    path = shared / "weights" / "mobilenet_v2_imagenet_features.pth"
    network = build_network("fcn8_mobilenet_v2", 1, pretrained=str(path), output_stride=4).eval()
    assert not network.mobilenet_v2_32s.features[0][1].weight.requires_grad
    theirs = tv.mobilenet_v2().eval()
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=False)
    images = torch.rand(1, 3, 64, 96)
    maps = network.read_maps(network.mobilenet_v2_32s, images)
    for stride, end in ((4, 4), (8, 7), (16, 14), (32, 18)):
        assert maps[stride].shape[-1] == 96 // stride
        torch.testing.assert_close(maps[stride], theirs.features[:end](images))
