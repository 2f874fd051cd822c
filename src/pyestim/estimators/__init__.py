"""Estimators with scikit-learn's interface: they validate, choose and publish."""
