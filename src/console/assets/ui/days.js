// Days of this browser's calendar, as a date field writes them, and the moments they begin.

import { LOCALE } from './format.js';

/** The moment at which a day begins, or one so many days later; null for what is no day. */
export function dayStart(day, later = 0) {
  const [year, month, date] = (day ?? '').split('-').map(Number);
  const start = new Date(year, month - 1, date + later);
  return Number.isNaN(start.getTime()) ? null : start.toISOString();
}

/** Midnight here, so many days ago. */
export function daysAgo(days) {
  const now = new Date();
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - days);
}

/** A moment's day: 2026-11-22. */
export function localDay(date) {
  const two = (n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** For people. */
export function shownDay(day) {
  const date = new Date(`${day}T00:00:00`);
  return Number.isNaN(date.getTime()) ? day : date.toLocaleDateString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });
}
