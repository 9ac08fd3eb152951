"""A line on standard error that says what runs and how long it will take."""
import sys
import time

QUIET_SECONDS = 15


class Progress:
    """plan holds `runs` (rounds), `settle_rounds` and `settle_ms`; settling is the number of runs a round that wait for memory
    to settle, in those rounds."""

    def __init__(self, plan, runs_a_round, settling, started):
        self.rounds, self.runs_a_round, self.total = plan["runs"], runs_a_round, plan["runs"] * runs_a_round
        self.settle_seconds = plan["settle_ms"] / 1000
        self.waits_left = min(plan["settle_rounds"], plan["runs"]) * settling
        self.started, self.begun = started, time.time()
        self.finished, self.worked = 0, 0.0
        self.terminal, self.said = sys.stderr.isatty(), 0

    def round_seconds(self):
        """What a round without waits will take, 0 before the first."""
        return self.worked / self.finished * self.runs_a_round if self.finished else 0

    def _left(self):
        if not self.finished:
            return "?"
        left = (self.total - self.finished) * self.worked / self.finished + self.waits_left * self.settle_seconds
        return f"{int(left) // 60} min {int(left) % 60:02} s" if left >= 60 else f"{int(left)} s"

    def show(self, round_number, bench, contender):
        self.begun = time.time()
        line = (f"round {round_number + 1}/{self.rounds}, run {self.finished + 1}/{self.total}, {self._left()} left: "
                f"{bench.name} on {contender.name}")
        if self.terminal:
            print(f"\r{line[:100]:100}", end="", file=sys.stderr, flush=True)
        elif self.begun - self.said > QUIET_SECONDS:
            print(line, file=sys.stderr, flush=True)
            self.said = self.begun

    def done(self, settled):
        self.finished += 1
        self.waits_left -= settled
        self.worked += time.time() - self.begun - (self.settle_seconds if settled else 0)

    def skip(self):
        self.total -= 1

    def say(self, text):
        print(("\r" if self.terminal else "") + text, file=sys.stderr, flush=True)

    def end(self):
        self.say(f"{self.finished} runs, {int(time.time() - self.started)} s altogether")
