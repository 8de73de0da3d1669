import pytest

from ganfp_tf.config import Config
from ganfp_tf.errors import UserError
from ganfp_tf.runs import grid


def test_the_product_of_all_values_the_first_slowest():
    config = Config(mode="simulate", grid="members=50,100; architecture=dcgan,residual;seed=0,1")
    victims = grid.plan(config)
    assert [victim.name for victim in victims][:3] == [
        "phantom-dcgan-n50-s0",
        "phantom-dcgan-n50-s1",
        "phantom-residual-n50-s0",
    ]
    assert len(victims) == 8
    last = victims[-1].config
    assert (last.members, last.architecture, last.seed) == (100, "residual", 1)
    assert last.grid == ""
    assert last.non_members == config.non_members


def test_each_kind_of_value():
    axes = grid.parse_grid("unrelated=true,False;r1=0.5,10;real=phantom,some/folder;size=32")
    assert axes == {
        "unrelated": [True, False],
        "r1": [0.5, 10.0],
        "real": ["phantom", "some/folder"],
        "size": [32],
    }


def test_other_axes_join_the_name():
    config = Config(mode="simulate", grid="steps=10,20", real="some/My CT")
    names = [victim.name for victim in grid.plan(config)]
    assert names == ["My-CT-dcgan-n100-s0-steps-10", "My-CT-dcgan-n100-s0-steps-20"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backbone=resnet50", "'backbone' is no setting of a victim. Expected settings with"),
        ("members", r"--grid: members must be int\. Received: ''"),
        ("members=ten", r"members must be int\. Received: 'ten'"),
        ("unrelated=yes", r"unrelated must be bool\. Received: 'yes'"),
        ("members=5,5", "members or one of its values is named twice"),
        ("seed=1;seed=2", "seed or one of its values is named twice"),
        (" ; ", "--grid names no setting"),
    ],
)
def test_what_a_grid_cannot_be(text, message):
    with pytest.raises(UserError, match=message):
        grid.parse_grid(text)


def test_a_value_that_no_victim_can_have():
    with pytest.raises(UserError, match=r"--size must be one of 32, 64, 128, 256\. Received: 50"):
        grid.plan(Config(mode="simulate", grid="size=50"))


def test_a_slip_of_the_pen():
    values = ",".join(map(str, range(1001)))
    with pytest.raises(UserError, match="makes 1001 victims; at most 1000"):
        grid.plan(Config(mode="simulate", grid=f"seed={values}"))


def test_two_folders_of_one_name():
    config = Config(mode="simulate", grid="real=a/ct,b/ct")
    with pytest.raises(UserError, match="two victims would be called the same: ct-dcgan-n100-s0"):
        grid.plan(config)
