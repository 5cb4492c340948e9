"""The site's end: takes signed orders, submits each as its user exactly once, and reports what becomes of it."""
