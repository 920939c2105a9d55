"""One job, a parent of many children, with dask-graphql and with its peers."""
