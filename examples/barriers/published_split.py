"""Write the split that the authors of the published networks trained with: a row and its part in each line.

They trained on the first 503 of their 559 training rows and validated on the next 55; the last one did neither. Usage:
`python published_split.py data/barriers_train/barriers_train.json.gz`.
"""

import sys
from pathlib import Path

from aiida_embarrier.datasets.importing.reading import read_dataset

N_TRAINING, N_VALIDATION = 503, 55

names = read_dataset(Path(sys.argv[1])).frame['name']
lines = ['name,part']
for number, name in enumerate(names):
    part = 'train' if number < N_TRAINING else 'validation' if number < N_TRAINING + N_VALIDATION else 'unused'
    lines.append(f'{name},{part}')
path = Path(__file__).parent / 'published_split.csv'
path.write_text('\n'.join(lines) + '\n')
print(f'wrote {len(names)} rows')
