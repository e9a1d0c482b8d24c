"""Finding out what a folder of annotated images holds, for `adaprep init`.

`tree` lists the files. `pairing` and `placing`, `lists`, `masks`, `coco` and `shapes` say how images and
labels belong together, `missing` why they do not. `content` looks into a sample of the labels, `naming` finds
the names of classes, `classes` makes the class table, with void and a first choice of targets. `written` is
the YAML file, `measured` what it comes to when it is opened, `discover` the whole.
"""
