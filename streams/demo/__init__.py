"""The demonstration: a simulated book of business with planted stories, and the judging of what the alerts made of it."""

from streams.demo.book import Book, Event
from streams.demo.judge import StoryReport, judge_stories
from streams.demo.outcomes import OutcomeReport, judge_outcomes
from streams.demo.truth import PlantedStory, Truth

__all__ = ["Book", "Event", "OutcomeReport", "PlantedStory", "StoryReport", "Truth", "judge_outcomes", "judge_stories"]
