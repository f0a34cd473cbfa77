"""Delivery of alerts to the tools that people are called by: reads `alerts`, posts, mails, tries again, remembers.

The process is `bellwether notify`; who is told what stands in a targets file. Nothing here decides anything about an
account, and scoring never waits for it.
"""
