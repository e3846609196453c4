#!/bin/bash
# loop.sh POOL/IMAGE...: one image after the other, each to its end.
for image in "$@"; do
    "$(dirname "$0")/move_image.sh" both "$image" || exit 1
done
