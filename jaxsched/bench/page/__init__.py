"""A study's results as one page that opens from disk, without a network."""

from jaxsched.bench.page.page import write_page as write_page
