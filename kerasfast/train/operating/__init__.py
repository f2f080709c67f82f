"""From scores to answers: thresholds, calibration and "no action", fitted to validation videos."""
