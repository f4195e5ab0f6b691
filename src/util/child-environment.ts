import type { Runtime } from './runtime.js'

/** What every program needs to find its files and its way; none of it is a secret. */
const INHERITED = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TZ', 'TERM', 'TMPDIR'],
  ...['TEMP', 'TMP', 'SYSTEMROOT', 'SYSTEMDRIVE', 'WINDIR', 'COMSPEC', 'PATHEXT', 'USERNAME'],
  ...['USERPROFILE', 'HOMEDRIVE', 'HOMEPATH', 'APPDATA', 'LOCALAPPDATA', 'PROGRAMFILES'],
]

/** Tells whether programs that we start get this variable of ours. */
export function isInherited(name: string): boolean {
  const upper = name.toUpperCase()
  return INHERITED.includes(upper) || upper.startsWith('LC_')
}

/** Makes the environment of a program: what it was given, over the few variables that it inherits. */
export function childEnvironment(
  own: Runtime['env'],
  given: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const inherited = Object.entries(own).filter(([name]) => isInherited(name))
  return { ...Object.fromEntries(inherited), ...given }
}
