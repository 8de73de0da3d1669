"""ganfp: were these real images used to train the generator of those synthetic images?

python main.py --backbone=resnet50 --cross_attention --data=FOLDER
"""

import sys

from ganfp_tf.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
