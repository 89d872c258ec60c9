"""A study's results as one page that opens from disk, without a network."""

from jaxsched.bench.report.page.page import write_page as write_page
