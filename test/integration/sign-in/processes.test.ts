import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { buildProcess } from '../../helpers/processes/build.js'
import { spawnProcess, type TestProcess } from '../../helpers/processes/spawn.js'
import {
  createDesk,
  freePort,
  privateFolder,
  type Resource,
  startResource,
} from '../../helpers/sign-in.js'

/** A browser that notes what it is asked to open, and opens it or not. */
function fakeBrowser(folder: string, opens: boolean): { path: string; tabs: () => string[] } {
  const [path, log] = [join(folder, 'browser'), join(folder, 'tabs')]
  writeFileSync(log, '')
  const open = opens ? 'await fetch(process.argv[2])' : ''
  const script = `#!${process.execPath}
import('node:fs').then(async (fs) => { fs.appendFileSync(${JSON.stringify(log)}, process.argv[2] + '\\n'); ${open} })
`
  writeFileSync(path, script)
  chmodSync(path, 0o700)
  return { path, tabs: () => readFileSync(log, 'utf8').split('\n').filter(Boolean) }
}

describe('several processes of one user', () => {
  let identity: Identity
  let resource: Resource
  let caller = ''
  let signer = ''
  const processes: TestProcess[] = []

  beforeAll(async () => {
    caller = await buildProcess('caller')
    signer = await buildProcess('signer')
  }, 60_000)
  beforeEach(async () => {
    identity = await startIdentity({ clock: createClock() })
    resource = await startResource(identity.issuer)
  })
  afterEach(async () => {
    for (const process of processes.splice(0)) await process.kill()
    await resource.close()
    await identity.close()
  })
  const start = (script: string, input: object, env?: Record<string, string>) => {
    const process = spawnProcess(script, { url: resource.url.href, ...input }, env)
    processes.push(process)
    return process
  }

  it('[bridge-one-refresh] refresh once when 5 processes get 5 refusals each at once', async () => {
    const desk = createDesk({ target: { grant: { kind: 'server', url: resource.url } } })
    const { accessToken } = await desk.signIn.ensure({ interactive: 'offer' })
    const input = { folder: desk.folder, calls: 5 }
    const callers = Array.from({ length: 5 }, () => start(caller, input))
    await Promise.all(callers.map((process) => process.next()))
    resource.refused.add(accessToken)
    for (const process of callers) process.send('go')
    const answers = await Promise.all(callers.map((process) => process.next()))
    expect(answers.flat()).toEqual(Array(25).fill('ok'))
    expect(identity.counters).toMatchObject({ refreshes: 1, reuses: 0, authorizations: 1 })
    expect(new Set(resource.accepted).size).toBe(1)
  }, 60_000)

  it('[bridge-one-tab] open one tab and register once when 3 start without tokens', async () => {
    const folder = privateFolder()
    const browser = fakeBrowser(folder, true)
    const signers = Array.from({ length: 3 }, () =>
      start(signer, { folder }, { BROWSER: browser.path }),
    )
    const tokens = await Promise.all(signers.map(tokenOf))
    expect(new Set(tokens).size).toBe(1)
    expect(browser.tabs()).toHaveLength(1)
    expect(identity.counters).toMatchObject({ registrations: 1, authorizations: 1 })
  }, 60_000)

  it('[bridge-resumes-sign-in] go on with the sign-in of a process that was killed, in the same tab', async () => {
    const folder = privateFolder()
    const browser = fakeBrowser(folder, false)
    const callbackPort = await freePort()
    const urls: unknown[] = []
    let last: TestProcess | undefined
    for (let respawn = 0; respawn < 10; respawn++) {
      await last?.kill()
      last = start(signer, { folder, callbackPort }, { BROWSER: browser.path })
      urls.push(await untilOpened(last))
    }
    expect(new Set(urls).size).toBe(1)
    expect(browser.tabs()).toHaveLength(1)
    const page = await fetch(browser.tabs()[0] ?? '')
    expect(await page.text()).toContain('Signed in')
    expect(await tokenOf(last as TestProcess)).toEqual(expect.any(String))
    expect(identity.counters.registrations).toBe(1)
  }, 60_000)

  it('[bridge-hands-over] hand a sign-in over to a sibling that waits for it', async () => {
    const folder = privateFolder()
    const browser = fakeBrowser(folder, false)
    const callbackPort = await freePort()
    const first = start(signer, { folder, callbackPort }, { BROWSER: browser.path })
    await untilOpened(first)
    const second = start(signer, { folder, callbackPort }, { BROWSER: browser.path })
    const url = await untilOpened(second)
    await first.kill()
    await expect
      .poll(
        async () =>
          fetch(url).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 10_000 },
      )
      .toBe(200)
    expect(await tokenOf(second)).toEqual(expect.any(String))
    expect(browser.tabs()).toHaveLength(1)
  }, 60_000)
})

async function tokenOf(process: TestProcess): Promise<string> {
  for (;;) {
    const said = (await process.next()) as { token?: string }
    if (said.token !== undefined) return said.token
  }
}

async function untilOpened(process: TestProcess): Promise<string> {
  for (;;) {
    const said = (await process.next()) as { waiting: string; tab: string }
    if (said.tab === 'opened' || said.tab === 'elsewhere') return said.waiting
  }
}
