"""Deployments: work pools, schedules, automations."""
