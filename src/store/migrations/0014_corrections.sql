-- Who paid in or corrected the balance, as JSON; NULL for calls, and for what was booked before this was kept.
ALTER TABLE transfers ADD COLUMN asked_by TEXT;
