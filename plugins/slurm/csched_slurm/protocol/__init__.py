"""What core and site agents say to each other: signed orders one way, reports and facts the other."""
