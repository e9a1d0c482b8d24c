#!/usr/bin/env bash
# What stands in the first tables of docs/trials.md, then the page: bash workflows/trials.sh CAMVID DRONE [FOLDER]
# CAMVID and DRONE are the data sets' folders. Stopped, it goes on where it was. Two CPU cores take an hour and a half.
set -euo pipefail
cd "$(dirname "$0")/.."
camvid=$1 drone=$2 folder=${3:-adaprep-trials}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

trials() { # name, batch of the auxiliary networks, what few images are made more by, then what names the data set
    local name=$1 batch=$2 more=$3 seed
    shift 3
    export ADAPREP_WORKSPACE=$folder/$name
    adaprep boundaries "$@"
    adaprep solve-tensors --lambda 0.5,1
    local auxiliary=(adaprep train --network auxiliary --lambda 0.5 --aux-features 64 --learning-rate 3e-4 --epochs 100
        --batch-size "$batch" --validate-every 5)
    for seed in 0 1 2; do
        "${auxiliary[@]}" --seed "$seed" --precision bfloat16
        "${auxiliary[@]}" --seed "$seed" --precision bfloat16 --aux-features 256
        "${auxiliary[@]}" --seed "$seed" --precision bfloat16 --aux-filter nearest
        "${auxiliary[@]}" --seed "$seed" --precision bfloat16 --aux-head solver
        "${auxiliary[@]}" --seed "$seed" --aux-encoder efficientnet-lite0
        "${auxiliary[@]}" --seed "$seed" --aux-encoder efficientnet-lite0 --aux-mirrored $more
    done
    "${auxiliary[@]}" --aux-encoder efficientnet-lite0 --aux-resolution 64
    "${auxiliary[@]}" --aux-encoder efficientnet-lite0 --aux-resolution 64 --aux-mirrored $more
    adaprep train --network base --architecture efficientnet-lite0 --sampler uniform --resolution 32 --learning-rate 1e-3 \
        --epochs 60 --batch-size 12 --validate-every 3
    adaprep upper-bound --split val --resolution 32,64,128 --lambda 0.5,1 --fixed-warp --json \
        --first base-efficientnet-lite0-uniform-32-seed0 \
        $(printf -- '--auxiliary %s ' "$ADAPREP_WORKSPACE"/*/runs/auxiliary-*/best.pt) > "$folder/$name.json"
}

mkdir -p "$folder"
trials camvid-by-sequence 45 "--aux-zoom 1" --dataset camvid-by-sequence --root "$camvid"
trials drone 32 "--augment turn=0.75 --tag turn" --dataset workflows/data/drone.yaml --root "$drone"
python docs/trials.py camvid-by-sequence="$folder/camvid-by-sequence.json" drone="$folder/drone.json"
