import { existsSync } from 'node:fs'

/** Where Chromium is; `undefined` when there is none, and tests in it are left out by name. */
export const CHROMIUM = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => existsSync(path))
