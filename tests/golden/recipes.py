"""What the golden files are made with."""

TRAIN = (
    "--data=training",
    "--run_dir=run",
    "--store_dir=store",
    "--backbone=tiny",
    "--weights=none",
    "--image_size=32",
    "--cross_attention",
    "--pairing=nearest",
    "--folds=2",
    "--width=16",
    "--heads=2",
    "--hidden=8",
    "--epochs=3",
    "--steps_per_epoch=4",
    "--bootstrap=100",
    "--permutations=100",
    "--neighbours=4",
    "--partners=16",
    "--dropout=0.2",
)
PREDICT = ("--mode=predict", "--run_dir=run", "--data=test", "--store_dir=store")
PLACE = b"/golden"  # the folder that the runs are in, as their tables have it
AUDIT = ("--mode=audit", "--run_dir=audit", "--bootstrap=200", "--permutations=200")


def networks():
    """Siamese networks of each kind on the tiny backbone: name -> model."""
    import keras

    from ganfp_tf.config import Config
    from ganfp_tf.siamese import networks as siamese
    from ganfp_tf.siamese.encoded_images import make_backbone

    kinds = {
        "pooled": dict(similarity="both"),
        "crossed_dot": dict(cross_attention=True, similarity="dot"),
        "crossed_multi": dict(cross_attention=True, features="multi", domain_norm=True),
    }
    made = {}
    for name, settings in kinds.items():
        config = Config(
            backbone="tiny", weights="none", image_size=32, width=16, heads=2, hidden=8, **settings
        )
        keras.utils.set_random_seed(3)
        made[name] = siamese.build_networks(
            config, make_backbone(config, config.seed)[0], config.trains_on_tokens
        ).siamese()
    return made
