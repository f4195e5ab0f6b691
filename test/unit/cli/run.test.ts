import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { addJsonOption } from '../../../src/cli/options.js'
import { type CommandEntry, run } from '../../../src/cli/run.js'
import { ConfigError } from '../../../src/config/load.js'
import { exitWith } from '../../../src/usecases/exit-codes.js'
import { ProxyError } from '../../../src/util/errors.js'
import { createTestRuntime, type TestRuntimeOptions } from '../../helpers/runtime.js'

/** A program with one command, which does what the test says. */
function program(action: () => void | Promise<void>): CommandEntry[] {
  const load = async () => () =>
    addJsonOption(new Command('act'))
      .argument('[thing]')
      .option('--port <port>', 'a port')
      .addCommand(new Command('inner').requiredOption('--must <x>', 'needed').action(action))
      .action(action)
  return [{ name: 'act', summary: 'do something', load }]
}

async function start(
  argv: string[],
  action: () => void | Promise<void> = () => undefined,
  options: TestRuntimeOptions = {},
) {
  const runtime = createTestRuntime(options)
  const status = await run(runtime, argv, program(action))
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

const fail = (error: unknown) => () => {
  throw error
}

describe('run', () => {
  it('ends with 0 when a command is done', async () => {
    expect(await start(['act'])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it('ends with the status that a command asks for, without a word', async () => {
    const result = await start(['act'], () => exitWith(5))
    expect(result).toEqual({ status: 5, stdout: '', stderr: '' })
  })

  it('prints message and hint of an error, and nothing on stdout', async () => {
    const error = new ProxyError('TARGET_UNREACHABLE', 'No answer', { hint: 'Start it.' })
    expect(await start(['act'], fail(error))).toEqual({
      status: 4,
      stdout: '',
      stderr: 'error: No answer\nhint:  Start it.\n',
    })
  })

  it('prints an error as one line of JSON with --json', async () => {
    const error = new ProxyError('TARGET_UNREACHABLE', 'No\nanswer', { hint: 'Start it.' })
    const { stderr } = await start(['act', '--json'], fail(error))
    expect(stderr).toBe(
      '{"error":{"code":"TARGET_UNREACHABLE","message":"No\\nanswer","hint":"Start it."}}\n',
    )
  })

  it('prints each problem of a configuration', async () => {
    const { status, stderr } = await start(['act', '--json'], fail(new ConfigError(['a', 'b'])))
    expect(status).toBe(2)
    expect(JSON.parse(stderr).error.problems).toEqual(['a', 'b'])
  })

  it('calls an error that nobody expected a mistake in the program', async () => {
    const { status, stderr } = await start(['act'], fail(new TypeError('x is undefined')))
    expect(status).toBe(1)
    expect(stderr).toBe(
      'error: x is undefined\nhint:  This is a mistake in the program; run the command again with `--log-level debug` and report what it prints.\n',
    )
  })

  it('prints what led to an error only when asked', async () => {
    const error = new ProxyError('INTERNAL', 'broken', { cause: new Error('the reason') })
    expect((await start(['act'], fail(error))).stderr).not.toContain('the reason')
    const env = { MCP_DESCOPE_LOG_LEVEL: 'debug' }
    expect((await start(['act'], fail(error), { env })).stderr).toContain('caused by: the reason')
  })

  it('lets no error move the cursor or show a token', async () => {
    const text = 'a\u001b[2Jb Bearer abcdefghijk eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln'
    const { stderr } = await start(['act'], fail(new ProxyError('INTERNAL', text)))
    expect(stderr).toBe('error: a [2Jb Bearer [redacted] [redacted]\n')
  })

  it.each([
    [
      ['--prot'],
      'error: Unknown option "--prot"\nhint:  Run `mcp-descope-proxy --help` to see its arguments.\n',
    ],
    [['act', '--prot', '1'], 'error: Unknown option "--prot"\nhint:  Did you mean --port?\n'],
    [
      ['act', '--port'],
      'error: Option "--port <port>" argument missing\nhint:  Run `mcp-descope-proxy --help` to see its arguments.\n',
    ],
    [['atc'], 'error: Unknown command "atc"\nhint:  Did you mean act?\n'],
    [
      ['act', 'inner'],
      'error: Required option "--must <x>" not specified\nhint:  Run `mcp-descope-proxy --help` to see its arguments.\n',
    ],
    [
      ['act', 'a', 'b'],
      'error: Too many arguments for "act". Expected 1 argument but got 2\nhint:  Run `mcp-descope-proxy --help` to see its arguments.\n',
    ],
  ])('ends with 2 on %j and says what is meant', async (argv, stderr) => {
    expect(await start(argv)).toEqual({ status: 2, stdout: '', stderr })
  })

  it('prints the help on stderr when nothing is asked, and ends with 2', async () => {
    const { status, stdout, stderr } = await start([])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain('Usage: mcp-descope-proxy')
  })

  it.each([['--help'], ['-h'], ['help']])('prints the help on stdout with %s', async (flag) => {
    const { status, stdout, stderr } = await start([flag])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('act             do something')
  })

  it.each([[['act', '--help']], [['help', 'act']]])(
    'prints the help of a command with %j',
    async (argv) => {
      const { status, stdout } = await start(argv)
      expect(status).toBe(0)
      expect(stdout).toContain('--port <port>')
    },
  )

  it('loads no command for the general help and the version', async () => {
    const load = () => Promise.reject(new Error('loaded'))
    const commands = [{ name: 'act', summary: 'x', load }]
    expect(await run(createTestRuntime(), ['--help'], commands)).toBe(0)
    expect(await run(createTestRuntime(), ['--version'], commands)).toBe(0)
    expect(await run(createTestRuntime(), ['act'], commands)).toBe(1)
  })

  it('takes --json after -- for an argument', async () => {
    const { stderr } = await start(['act', '--', '--json'], fail(new ProxyError('USAGE', 'no')))
    expect(stderr).toBe('error: no\n')
  })
})

describe('colours', () => {
  it.each([
    [{ isTty: true }, true],
    [{ isTty: false }, false],
    [{ isTty: true, env: { NO_COLOR: '1' } }, false],
    [{ isTty: false, env: { FORCE_COLOR: '1' } }, true],
    [{ isTty: true, env: { FORCE_COLOR: '0' } }, false],
    [{ isTty: false, env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, false],
    [{ isTty: true, env: { TERM: 'dumb' } }, false],
  ])('with %j are %s', async (options, expected) => {
    const { stderr } = await start(['act'], fail(new ProxyError('USAGE', 'no')), options)
    expect(stderr.includes('\u001b[31m')).toBe(expected)
  })
})
