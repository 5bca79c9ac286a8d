"""Data of your own: files of many kinds, read into one shape by one walk.

A kind is a :class:`s2e.data.own.source.Source`: samples with the labels somebody gave, what is fitted on the rows that
train, and how rows are encoded by it. :func:`s2e.data.own.assemble.own_dataset` does the rest for all of them: classes,
test rows, trusted rows, and every refusal that a user can mend.
"""
