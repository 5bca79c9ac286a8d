"""Data of your own: files of many kinds, read into one shape by one walk.

A kind is a :class:`s2e.data.own.source.Source`: samples with given labels, an encoder fitted on the training rows, and
the encoding of all rows. :func:`s2e.data.own.assemble.own_dataset` does the rest for all of them: classes, test rows,
trusted rows, and every refusal that a user can fix.
"""
