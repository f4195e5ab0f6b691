import { describe, expect, it } from 'vitest'
import { run } from '../../../../src/cli/run.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime } from '../../../helpers/runtime.js'

const settings = (rules: unknown) =>
  createFolder({
    'mcp-descope-proxy.config.json': {
      targets: { bank: { url: 'https://bank.example/mcp', rules } },
    },
  })

async function start(rules: unknown, argv: string[]) {
  const runtime = createTestRuntime({ cwd: settings(rules) })
  const status = await run(runtime, ['config', ...argv])
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

const RULES = [
  { when: 'tool.name == "close" && !("boss" in caller.roles)', deny: 'Ask the boss' },
  { when: 'tool.name == "transfer" && arguments.amount > 1000', deny: 'At most 1000' },
]

describe('config explain-access', () => {
  it.each([
    ['bank_close', '{"roles":["boss"]}', undefined, undefined],
    ['bank_close', '{"tenants":{"T1":{"roles":["boss"]}},"dct":"T1"}', undefined, undefined],
    ['bank_close', '{}', undefined, 'rules[0]'],
    ['bank_transfer', '{}', undefined, undefined],
    ['bank_transfer', '{}', '{"amount":999}', undefined],
    ['bank_transfer', '{}', '{"amount":1001}', 'rules[1]'],
    ['bank_transfer', '{}', '{}', 'rules[1] could not be evaluated'],
  ])('says which rule decides on %s for %s with arguments %s', async (name, claims, args, rule) => {
    const given = args === undefined ? [] : ['--arguments', args]
    const argv = ['explain-access', name, '--claims', claims, ...given]
    const { stdout, status } = await start(RULES, [...argv, '--json'])
    expect(status).toBe(0)
    const { verdicts } = JSON.parse(stdout)
    expect(verdicts[0]).toMatchObject({ kind: 'tool', allowed: rule === undefined })
    expect(verdicts[0].rule).toBe(rule)
    if (rule === undefined) return
    expect(verdicts[0].refusal).toBe('policy')
    const index = Number(rule.slice(6, 7))
    expect(verdicts[0].celRule).toEqual({ index, ...RULES[index] })
    const text = (await start(RULES, argv)).stdout
    expect(text).toContain(`policy (${rule}: ${RULES[index]?.when})`)
  })

  it('says that a call depends on its arguments where a rule looks at them and none are given', async () => {
    const vary = [
      ...RULES,
      { when: '"boss" in caller.roles && size(arguments) > 9', deny: 'Too much' },
    ]
    const ask = async (name: string, claims: string, ...more: string[]) => {
      const argv = ['explain-access', name, '--claims', claims, ...more]
      const { verdicts } = JSON.parse((await start(vary, [...argv, '--json'])).stdout)
      return [verdicts[0].dependsOn, (await start(vary, argv)).stdout]
    }
    const [rules, text] = await ask('bank_transfer', '{}')
    expect(rules).toEqual(['rules[1]'])
    expect(text).toContain(
      'allowed  tool "transfer" of target "bank", but it depends on the arguments of the call (rules[1]): give them with --arguments\n',
    )
    const [ofBoss] = await ask('bank_transfer', '{"roles":["boss"]}')
    expect(ofBoss).toEqual(['rules[1]', 'rules[2]'])
    for (const given of [
      await ask('bank_transfer', '{}', '--arguments', '{"amount":1}'),
      await ask('bank_close', '{}'),
      await ask('bank_other', '{}'),
    ]) {
      expect(given[0]).toBeUndefined()
      expect(given[1]).not.toContain('--arguments')
    }
  })

  it('wants arguments as an object', async () => {
    const argv = ['explain-access', 'bank_close', '--claims', '{}', '--arguments', '[1]']
    const { status, stderr } = await start(RULES, argv)
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('--arguments is not a JSON object'),
    ])
  })
})

describe('config validate', () => {
  it('says where each rule is wrong, by line and column, and where it is written', async () => {
    const wrong = [
      { when: 'true &&\n  tool.nme == "x"', deny: 'no' },
      RULES[0],
      { when: 'usr', deny: 'no' },
    ]
    const { status, stderr } = await start(wrong, ['validate'])
    expect(status).toBe(2)
    expect(stderr).toMatch(
      /targets\.bank\.rules\[0]\.when, line 2, column 8: No such key: nme \(file .*json:\d+\)/,
    )
    expect(stderr).toMatch(
      /targets\.bank\.rules\[2]\.when, line 1, column 1: Unknown variable: usr/,
    )
    expect(stderr).not.toContain('rules[1]')
  })

  it.each([
    [{ when: 'true' }],
    [{ when: 'true', deny: '' }],
    [{ when: 'true', deny: 'x', allow: 'y' }],
    ['true'],
  ])('refuses what is no rule: %j', async (rule) => {
    const { status, stderr } = await start([rule], ['validate'])
    expect(status).toBe(2)
    expect(stderr).toContain('targets.bank.rules is')
    expect(stderr).toContain('"deny"')
  })
})

it('serve does not start with a rule that is wrong, with workers neither', async () => {
  const cwd = settings([{ when: 'tool.nme == "x"', deny: 'no' }])
  for (const more of [[], ['--workers', '2']]) {
    const env = { SESSION_SECRET: 'x'.repeat(40) }
    const runtime = createTestRuntime({ cwd, env })
    const argv = ['serve', '--insecure-no-auth', '--port', '0', ...more]
    expect(await run(runtime, argv)).toBe(2)
    expect(runtime.stderr()).toContain('rules[0].when, line 1, column 6: No such key: nme')
  }
})
