"""Builders and small worlds that tests share. Nothing here is a test."""
