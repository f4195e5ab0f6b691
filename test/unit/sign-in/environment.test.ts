import { describe, expect, it } from 'vitest'
import { detectEnvironment } from '../../../src/sign-in/browser.js'
import { isCi } from '../../../src/sign-in/options.js'

describe('detectEnvironment', () => {
  it.each([
    ['linux', { DISPLAY: ':0' }, true],
    ['linux', { WAYLAND_DISPLAY: 'wayland-0' }, true],
    ['linux', {}, false],
    ['linux', { DISPLAY: ':0', SSH_CONNECTION: 'x' }, false],
    ['linux', { DISPLAY: ':0', SSH_TTY: '/dev/pts/1' }, false],
    ['linux', { WSL_DISTRO_NAME: 'Ubuntu' }, true],
    ['linux', { CODESPACES: 'true' }, false],
    ['linux', { REMOTE_CONTAINERS: 'true', DISPLAY: ':0' }, false],
    ['linux', { REMOTE_CONTAINERS: 'true', BROWSER: '/vscode/browser.sh' }, true],
    ['linux', { SSH_CONNECTION: 'x', BROWSER: 'firefox' }, true],
    ['darwin', {}, true],
    ['darwin', { SSH_CLIENT: 'x' }, false],
    ['win32', {}, true],
    ['win32', { CI: 'true' }, false],
  ] as const)(
    '[bridge-sign-in-method] on %s with %j finds a browser: %s',
    (platform, env, hasBrowser) => {
      expect(detectEnvironment({ platform, env }).hasBrowser).toBe(hasBrowser)
    },
  )

  it.each([
    ['true', true],
    ['1', true],
    ['false', false],
    ['', false],
    [undefined, false],
  ])('reads CI=%s as %s', (value, expected) => {
    expect(isCi({ CI: value })).toBe(expected)
  })
})
