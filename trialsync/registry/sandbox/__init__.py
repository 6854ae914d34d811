"""A stand-in for the ClinicalTrials.gov v2 API, replaying dated loads."""
