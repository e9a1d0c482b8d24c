#!/usr/bin/env bash
# Every run behind docs/results.md, then its figures: bash workflows/camvid-results.sh CAMVID [WORKSPACE]
# Written by docs/results.py. Stopped, it goes on where it was; what is complete is skipped. On a GPU leave --precision out.
set -euo pipefail
cd "$(dirname "$0")/.."
camvid=$1
export ADAPREP_WORKSPACE=${2:-adaprep-workspace}

adaprep boundaries --dataset camvid --root "$camvid"
adaprep solve-tensors --lambda 0.3,0.5,1
adaprep train --network auxiliary --aux-resolution 16 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 1 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.3 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss energy --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 16 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --weight-decay 0.1 --tag decay --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --augment brightness=0 --augment contrast=0 --augment salt_and_pepper=0 --tag flips --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --augment brightness=0.4 --augment contrast=0.4 --tag jitter --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 240 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag long --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.001 --batch-size 45 --validate-every 4 --tag quick --precision bfloat16
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
for seed in 0 1 2; do adaprep train --network auxiliary --aux-resolution 32 --aux-features 256 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 2 --precision bfloat16 --seed "$seed"; done
adaprep train --network auxiliary --aux-resolution 32 --aux-features 64 --lambda 0.5 --aux-filter nearest --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network auxiliary --aux-resolution 64 --aux-features 64 --lambda 0.5 --aux-filter area --aux-loss proposal --epochs 60 --learning-rate 0.0003 --batch-size 45 --validate-every 4 --tag trial --precision bfloat16
adaprep train --network base --architecture pspnet --sampler auxiliary --resolution 32 --lambda 0.5 --epochs 20 --learning-rate 0.001 --batch-size 45 --validate-every 10 --precision bfloat16
adaprep train --network base --architecture pspnet --sampler uniform --resolution 32 --epochs 20 --learning-rate 0.001 --batch-size 45 --validate-every 10 --precision bfloat16
adaprep train --network base --architecture unet --sampler auxiliary --resolution 128 --lambda 0.5 --epochs 6 --learning-rate 0.001 --batch-size 8 --validate-every 3 --precision bfloat16
for seed in 0 1 2; do adaprep train --network base --architecture unet --sampler auxiliary --resolution 32 --lambda 0.5 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16 --seed "$seed"; done
adaprep train --network base --architecture unet --sampler auxiliary --resolution 32 --lambda 0.5 --checkpoint "$ADAPREP_WORKSPACE/camvid/runs/auxiliary-32-lambda0.5-features64-seed0-long/best.pt" --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --tag small --precision bfloat16
adaprep train --network base --architecture unet --sampler auxiliary --resolution 64 --lambda 0.5 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16
adaprep train --network base --architecture unet --sampler proposal --resolution 128 --epochs 6 --learning-rate 0.001 --batch-size 8 --validate-every 3 --precision bfloat16
for seed in 0 1 2; do adaprep train --network base --architecture unet --sampler proposal --resolution 32 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16 --seed "$seed"; done
adaprep train --network base --architecture unet --sampler uniform --resolution 128 --epochs 6 --learning-rate 0.001 --batch-size 8 --validate-every 3 --precision bfloat16
for seed in 0 1 2; do adaprep train --network base --architecture unet --sampler uniform --resolution 32 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16 --seed "$seed"; done
for seed in 0 1 2; do adaprep train --network base --architecture unet --sampler uniform --resolution 40 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16 --seed "$seed"; done
adaprep train --network base --architecture unet --sampler uniform --resolution 64 --epochs 100 --learning-rate 0.001 --batch-size 12 --validate-every 2 --precision bfloat16
adaprep evaluate
bound=$(mktemp) timing=$(mktemp)
adaprep upper-bound --split val --resolution 32 --lambda 0.3,0.5,1 --json \
    $(printf -- '--auxiliary %s ' "$ADAPREP_WORKSPACE"/camvid/runs/auxiliary-*/best.pt) > "$bound"
python -m benchmarks.training --json > "$timing"
python docs/results.py "$ADAPREP_WORKSPACE" "$bound" "$timing"
