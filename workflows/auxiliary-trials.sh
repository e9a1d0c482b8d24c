#!/usr/bin/env bash
# The older trials of docs/trials.md, then their bounds: bash workflows/auxiliary-trials.sh CAMVID [WORKSPACE]
# Stopped, it goes on where it was; what is complete is skipped. On a GPU leave --precision out.
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
adaprep upper-bound --split val --resolution 32 --lambda 0.3,0.5,1 \
    $(printf -- '--auxiliary %s ' "$ADAPREP_WORKSPACE"/camvid/runs/auxiliary-*/best.pt)
