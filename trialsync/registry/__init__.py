"""ClinicalTrials.gov, the outside: its queries, its pages, its files, and a stand-in for it."""
