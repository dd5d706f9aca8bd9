"""SQL of Databricks, through a Spark session or a warehouse."""
