"""The rooms behind :class:`s2e.sklearn.NoisyLabelClassifier` beyond rows of numbers: files and budgets."""
