"""Templates, styles and scripts of the HTML pages, and what renders them."""
