"""What people and build servers read: pages, plots, comparisons, JUnit, Markdown."""
