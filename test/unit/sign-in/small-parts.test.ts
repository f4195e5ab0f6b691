import { describe, expect, it } from 'vitest'
import {
  type OAuthRefusalKind,
  OAuthRefusedError,
  RetryableError,
} from '../../../src/auth/oauth/failure.js'
import {
  createTabQuota,
  detectEnvironment,
  isOpenable,
  openBrowser,
} from '../../../src/sign-in/browser.js'
import { nextPace } from '../../../src/sign-in/device-flow.js'
import { chooseMethod } from '../../../src/sign-in/exclusive-sign-in.js'
import { isCi } from '../../../src/sign-in/options.js'
import { parsePasted } from '../../../src/sign-in/pasted-callback.js'
import { createPendingStore, type PendingBrowser } from '../../../src/sign-in/pending-sign-in.js'
import { createManualClock, createTestRuntime } from '../../helpers/runtime.js'
import { privateFolder } from '../../helpers/sign-in.js'

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

describe('chooseMethod', () => {
  const server = (device: boolean) => ({
    server: {
      issuer: 'https://as',
      deviceAuthorizationEndpoint: device ? 'https://as/device' : undefined,
    } as never,
  })
  const at = (hasBrowser: boolean, method: 'auto' | 'browser' | 'device' | 'paste' = 'auto') => ({
    options: { method } as never,
    environment: {
      hasBrowser,
      why: hasBrowser ? undefined : 'This is an SSH session',
      isWsl: false,
    },
  })

  it.each([
    [true, true, 'browser'],
    [true, false, 'browser'],
    [false, true, 'device'],
    [false, false, 'paste'],
  ])(
    '[bridge-sign-in-method] with a browser %s and codes offered %s takes %s',
    (hasBrowser, device, expected) => {
      expect(chooseMethod(at(hasBrowser), server(device)).method).toBe(expected)
    },
  )

  it('takes what was asked for', () => {
    expect(chooseMethod(at(false, 'browser'), server(true)).method).toBe('browser')
    expect(() => chooseMethod(at(true, 'device'), server(false))).toThrow('does not offer')
  })
})

describe('openBrowser', () => {
  const opened = async (
    platform: NodeJS.Platform,
    env: Record<string, string>,
    url: string,
    isWsl = false,
  ) => {
    const launched: string[][] = []
    const launch = async (command: string, args: readonly string[]) => {
      launched.push([command, ...args])
      return command === 'xdg-open' || launched.length > 2
    }
    const runtime = createTestRuntime({ platform, env, system: { launch } })
    await openBrowser(runtime, url, isWsl)
    return launched
  }
  const URL_ = "https://as.example/authorize?a=1&b='x'%0a"

  it('[bridge-browser-launch] prefers $BROWSER, with the URL as its one argument', async () => {
    expect((await opened('linux', { BROWSER: '/my browser' }, URL_))[0]).toEqual([
      '/my browser',
      URL_,
    ])
  })

  it('[bridge-browser-launch] uses the opener of each platform', async () => {
    expect((await opened('darwin', {}, URL_))[0]).toEqual(['/usr/bin/open', URL_])
    expect((await opened('win32', {}, URL_))[0]).toEqual([
      'rundll32',
      'url.dll,FileProtocolHandler',
      URL_,
    ])
    expect(await opened('linux', {}, URL_)).toEqual([['xdg-open', URL_]])
  })

  it('[bridge-browser-launch] goes from wslview to PowerShell, with the command encoded', async () => {
    const [first, second] = await opened('linux', {}, URL_, true)
    expect(first?.[0]).toBe('wslview')
    expect(second?.[0]).toBe('powershell.exe')
    const command = Buffer.from(second?.at(-1) ?? '', 'base64').toString('utf16le')
    expect(command).toBe("Start-Process 'https://as.example/authorize?a=1&b=''x''%0a'")
  })

  it.each([
    'file:///etc/passwd',
    'javascript:alert(1)',
    '--help',
    'https://x/\u0007',
    'https://x/ y',
    'https://u:p@x/',
    'cmd:/x',
  ])('[bridge-browser-launch] does not open %j', async (url) => {
    expect(isOpenable(url)).toBe(false)
    expect(await opened('linux', {}, url)).toEqual([])
  })
})

describe('the budget of tabs', () => {
  const MINUTE = 60_000
  it('[bridge-tab-budget] gives one tab in 10 minutes and three in a day, over restarts', async () => {
    const clock = createManualClock()
    const folder = privateFolder()
    const take = () => createTabQuota(folder, 'key', clock.now).takeTab()
    const taken: boolean[] = []
    for (const pause of [0, 1, 8, 2, 5, 20, 20, 60]) {
      await clock.advance(pause * MINUTE)
      taken.push(await take())
    }
    expect(taken).toEqual([true, false, false, true, false, true, false, false])
    await clock.advance(24 * 60 * MINUTE)
    expect(await take()).toBe(true)
  })

  it('[bridge-tab-budget] is full again when somebody signed in', async () => {
    const clock = createManualClock()
    const budget = createTabQuota(privateFolder(), 'key', clock.now)
    await budget.takeTab()
    expect(await budget.takeTab()).toBe(false)
    await budget.reset()
    expect(await budget.takeTab()).toBe(true)
  })

  it('is not blocked by a clock that was set back', async () => {
    const folder = privateFolder()
    const ahead = createManualClock()
    await ahead.advance(1_000 * MINUTE)
    await createTabQuota(folder, 'key', ahead.now).takeTab()
    expect(await createTabQuota(folder, 'key', createManualClock().now).takeTab()).toBe(true)
  })

  it('[bridge-step-up] gives one step-up in 10 minutes to each set of scopes', async () => {
    const clock = createManualClock()
    const budget = createTabQuota(privateFolder(), 'key', clock.now)
    expect(await budget.takeStepUp(['a', 'b'])).toBe(true)
    expect(await budget.takeStepUp(['b', 'a'])).toBe(false)
    expect(await budget.takeStepUp(['c'])).toBe(true)
    await clock.advance(10 * MINUTE)
    expect(await budget.takeStepUp(['a', 'b'])).toBe(true)
  })
})

describe('nextPace', () => {
  const start = { interval: 5, margin: 1.2 }
  const refused = (code: string, kind: OAuthRefusalKind) =>
    new OAuthRefusedError('x', {
      code,
      kind,
      description: undefined,
      status: 400,
      retryAfter: null,
    })

  it('polls with a margin, and slower when asked to', () => {
    expect(nextPace(start, refused('authorization_pending', 'poll'))).toEqual(start)
    expect(nextPace(start, refused('slow_down', 'poll'))).toEqual({ interval: 10, margin: 1.4 })
    expect(nextPace(start, new RetryableError('x'))).toEqual({ interval: 10, margin: 1.2 })
    expect(nextPace(start, refused('HTTP 503', 'transient'))).toEqual({ interval: 10, margin: 1.2 })
  })

  it.each([
    ['access_denied', 'refused', 'declined'],
    ['invalid_client', 'client', 'invalid_client'],
  ] as const)('stops with %s', (code, kind, message) => {
    expect(() => nextPace(start, refused(code, kind))).toThrow(message)
  })
})

describe('parsePasted', () => {
  const waiting = { state: 'right', server: { issInResponses: false } }

  it.each([
    'http://127.0.0.1:28682/callback?code=abc&state=right',
    '  "http://127.0.0.1:1/callback?code=abc&state=right" \n',
  ])('[bridge-paste] takes the URL %j', (text) => {
    expect(parsePasted(text, waiting).get('code')).toBe('abc')
  })

  it('[bridge-paste] refuses a URL of another sign-in', () => {
    expect(() => parsePasted('http://127.0.0.1:1/callback?code=a&state=no', waiting)).toThrow(
      'belong',
    )
  })

  it('[bridge-paste] takes a code alone, unless the server says who answers', () => {
    expect(parsePasted('abcdefgh', waiting).get('state')).toBe('right')
    const strict = { state: 'right', server: { issInResponses: true } }
    expect(() => parsePasted('abcdefgh', strict)).toThrow('not the URL')
    expect(() => parsePasted('hello world!', waiting)).toThrow('not the URL')
  })
})

describe('the pending sign-in', () => {
  const pending: PendingBrowser = {
    kind: 'browser',
    method: 'browser',
    key: 'a'.repeat(32),
    server: {
      issuer: 'https://as',
      metadataUrl: undefined,
      authorizationEndpoint: 'https://as/authorize',
      tokenEndpoint: 'https://as/token',
      registrationEndpoint: undefined,
      revocationEndpoint: undefined,
      deviceAuthorizationEndpoint: undefined,
      scopesSupported: [],
      grantTypes: [],
      tokenAuthMethods: [],
      clientIdMetadataDocuments: false,
      issInResponses: false,
    },
    client: {
      id: 'c',
      secret: undefined,
      authMethod: 'none',
      source: 'dynamic',
      redirectUris: ['u'],
    },
    resource: 'https://mcp',
    scope: undefined,
    note: undefined,
    since: 1,
    expiresAt: Date.UTC(2026, 0, 1) + 60_000,
    url: 'https://as/authorize?x',
    redirectUri: 'http://127.0.0.1:28682/callback',
    state: 's',
    verifier: 'v',
    tab: undefined,
  }

  it('[bridge-resumes-sign-in] is there for the next process until its time is over', async () => {
    const clock = createManualClock()
    const folder = privateFolder()
    await createPendingStore(folder, clock.now).save(pending)
    const later = createPendingStore(folder, clock.now)
    expect(await later.load(pending.key)).toEqual(pending)
    expect(await later.load('b'.repeat(32))).toBeUndefined()
    await clock.advance(60_001)
    expect(await later.load(pending.key)).toBeUndefined()
  })
})
