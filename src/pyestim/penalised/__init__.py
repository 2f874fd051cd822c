"""Penalised likelihood: datafit x penalty x solver, certified by duality gaps."""
