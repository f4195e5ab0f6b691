import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBridge } from '../helpers/bridge.js'
import { startCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'
import { call } from '../helpers/targets/raw-client.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../helpers/targets/recording.js'

const FAULT = fileURLToPath(new URL('../helpers/processes/fault.mjs', import.meta.url))
const KINDS = ['timer', 'rejection', 'nothing', 'recursion']

let target: RecordingTarget
/** Answers the calls that wait at the target. */
let answerCalls: () => void = () => {}
beforeAll(async () => {
  target = await startRecordingTarget()
})
afterAll(() => target.close())

function holdCalls(): void {
  const result = { content: [{ type: 'text', text: 'in spite of it' }] }
  const released = new Promise<void>((resolve) => {
    answerCalls = resolve
  })
  target.on('tools/call', () => released.then(() => result))
}

const arrived = (count: number) => expect.poll(() => target.of('tools/call').length).toBe(count)

async function startServe(kind: string, ...flags: string[]) {
  const args = ['serve', '--insecure-no-auth', '--port', '0', '--target', target.url]
  const serve = startCli([...args, '--log-format', 'json', ...flags], {
    cwd: createFolder(),
    env: { FAULT: kind, SESSION_SECRET: 'a-session-secret-of-more-than-32-bytes' },
    nodeArguments: ['--import', FAULT],
    timeoutMs: 60_000,
  })
  const [, url = ''] = await serve.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  return { ...serve, url, ready: () => fetch(new URL('/readyz', url)) }
}

const echo = { name: 'target_echo', arguments: {} }
const count = (text: string, part: string) => text.split(part).length - 1

describe('an error that nothing catches', () => {
  it.each(KINDS)('(%s) lets serve finish what runs, and then end with status 1', async (kind) => {
    holdCalls()
    const serve = await startServe(kind)
    const before = target.of('tools/call').length
    const running = call(serve.url, 'tools/call', echo)
    await arrived(before + 1)
    serve.child.kill('SIGUSR2')
    await serve.waitFor('stderr', /"event":"uncaught_error"/)
    await expect.poll(async () => (await serve.ready()).status).toBe(503)
    expect((await call(serve.url, 'tools/call', echo)).status).toBe(503)
    answerCalls()
    expect((await running).body).toContain('in spite of it')
    const { status, stderr } = await serve.ended
    expect(status).toBe(1)
    expect(count(stderr, '"event":"uncaught_error"')).toBe(1)
    expect(stderr).toContain('"event":"stopped"')
    if (kind !== 'nothing') expect(stderr).toMatch(/"stack":"(RangeE|E)rror: .*fault\.mjs/)
  })

  it('ends one worker in order, and another takes its place', async () => {
    holdCalls()
    const serve = await startServe('timer', '--workers', '2')
    const pids = [...serve.stderr().matchAll(/\[pid (\d+)\]/g)].map(([, pid]) => Number(pid))
    const worker = pids.find((pid) => pid !== serve.child.pid)
    const before = target.of('tools/call').length
    // one of them comes to each worker
    const running = [call(serve.url, 'tools/call', echo), call(serve.url, 'tools/call', echo)]
    await arrived(before + 2)
    process.kill(worker as number, 'SIGUSR2')
    await serve.waitFor('stderr', /"event":"uncaught_error"/)
    await expect.poll(async () => (await serve.ready()).status).toBe(200)
    target.on('tools/call', () => ({ content: [{ type: 'text', text: 'as ever' }] }))
    const texts = await Promise.all([1, 2, 3, 4].map(() => call(serve.url, 'tools/call', echo)))
    for (const { body } of texts) expect(body).toContain('as ever')
    answerCalls()
    for (const { body } of await Promise.all(running)) expect(body).toContain('in spite of it')
    await serve.waitFor('stderr', /A worker ended with status 1; another takes its place/)
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })

  it.each(KINDS)(
    '(%s) lets the bridge answer what is open, and then end with status 1',
    async (kind) => {
      target.on('tools/call', () => NO_ANSWER)
      const bridge = startBridge(target.url, {
        env: { FAULT: kind },
        nodeArguments: ['--import', FAULT],
      })
      await bridge.handshake()
      const before = target.of('tools/call').length
      bridge.send({ id: 'open', method: 'tools/call', params: { name: 'echo', arguments: {} } })
      await arrived(before + 1)
      bridge.child.kill('SIGUSR2')
      const { status, stderr } = await bridge.ended
      expect(status).toBe(1)
      const answers = bridge.messages().filter(({ id }) => id === 'open')
      expect(answers).toMatchObject([{ error: { message: expect.stringContaining('mistake') } }])
      expect(count(stderr, 'An error that nothing caught')).toBe(1)
    },
  )
})
