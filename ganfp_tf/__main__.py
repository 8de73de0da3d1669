"""python -m ganfp_tf: the same as main.py."""

from ganfp_tf.cli import entry

if __name__ == "__main__":
    entry()
