from exp_configs import EXP_GROUPS
from src.experiments import folders as experiments
from src.experiments import schema


def test_every_group_is_well_formed_and_every_experiment_is_its_own():
    for name, group in EXP_GROUPS.items():
        ids = {experiments.experiment_id(exp_dict) for exp_dict in group}
        assert len(ids) == len(group) >= 1, name
        for exp_dict in group:
            schema.check_exp_dict(exp_dict)


def test_trancos_is_upstreams_grid():
    assert [e["batch_size"] for e in EXP_GROUPS["trancos"]] == [1, 5, 10]
    for e in EXP_GROUPS["trancos"]:
        assert (e["optimizer"], e["lr"], e["betas"], e["weight_decay"]) == ("adam", 1e-5, [0.99, 0.999], 5e-4)
        assert (e["model"]["base"], e["model"]["pretrained"], e["max_epoch"]) == ("fcn8_vgg16", "imagenet", 100)
