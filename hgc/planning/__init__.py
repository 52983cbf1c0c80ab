"""From a request to its plan: methods, budgets, presets and the calibrations in use."""
