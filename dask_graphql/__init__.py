"""The product's command. (What task modules and programs import is in the packages `cluster` and `graphql_api`.)"""
