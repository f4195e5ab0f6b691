import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import manifest from '../../package.json' with { type: 'json' }

const FOLDER = fileURLToPath(new URL('../../.github/workflows/', import.meta.url))

interface Step {
  uses?: string
  run?: string
  with?: Record<string, unknown>
}

interface Job {
  'timeout-minutes'?: number
  permissions?: Record<string, string>
  environment?: string
  strategy?: { matrix: { os: string[]; node: number[]; include: { os: string; node: number }[] } }
  steps: Step[]
}

interface Workflow {
  permissions: Record<string, string>
  concurrency: object
  on: Record<string, unknown>
  jobs: Record<string, Job>
}

const files = readdirSync(FOLDER).map((name) => {
  const text = readFileSync(`${FOLDER}${name}`, 'utf8')
  const workflow: Workflow = parse(text)
  const jobs = Object.values(workflow.jobs)
  return { name, text, workflow, jobs, steps: jobs.flatMap(({ steps }) => steps) }
})
const { ci, release } = Object.fromEntries(
  files.map(({ name, workflow }) => [name.replace('.yml', ''), workflow]),
)

describe.each(files)('the workflow $name', ({ text, workflow, jobs, steps }) => {
  it('gives no rights that a job does not name, and each job a time', () => {
    expect(workflow.permissions).toEqual({})
    expect(workflow.concurrency).toBeDefined()
    for (const job of jobs) {
      expect(job['timeout-minutes']).toBeGreaterThan(0)
      expect(job.permissions).toBeDefined()
    }
  })

  it('uses actions by their commit, and says which version that is', () => {
    const uses = text.split('\n').filter((line) => /\buses:/.test(line))
    expect(uses).toHaveLength(steps.filter((step) => step.uses !== undefined).length)
    for (const line of uses) expect(line).toMatch(/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it('leaves no credentials behind a checkout', () => {
    for (const { with: options } of steps.filter(({ uses }) => uses?.includes('/checkout@'))) {
      expect(options).toMatchObject({ 'persist-credentials': false })
    }
  })

  it('runs scripts that exist, and never text that somebody else wrote', () => {
    const scripts = Object.keys(manifest.scripts)
    for (const { run = '' } of steps) {
      for (const [, script] of run.matchAll(/npm run (?:-s )?([\w:-]+)/g)) {
        expect(scripts).toContain(script)
      }
      if (/npm test/.test(run)) expect(scripts).toContain('test')
      expect(run).not.toContain('${{')
    }
  })
})

describe('the release', () => {
  const button = /\]\((https:\/\/vercel\.com\/new\/clone[^)]+)\)/

  it.skipIf(process.platform !== 'linux')('leads the deploy button to its repository', () => {
    const folder = mkdtempSync(join(tmpdir(), 'release-'))
    copyFileSync(new URL('../../README.md', import.meta.url), join(folder, 'README.md'))
    const step = release?.jobs['package']?.steps.find(({ run }) => run?.includes('README.md'))
    const env = { ...process.env, GITHUB_REPOSITORY: 'acme/the-proxy' }
    execFileSync('bash', ['-e', '-c', step?.run ?? 'false'], { cwd: folder, env })
    const [, link = ''] = button.exec(readFileSync(join(folder, 'README.md'), 'utf8')) ?? []
    const template = new URL(link).searchParams.get('repository-url')
    expect(template).toBe('https://github.com/acme/the-proxy/tree/main/deploy/vercel')
    rmSync(folder, { recursive: true })
  })
})

describe('the matrix of ci', () => {
  const { matrix } = ci?.jobs['test']?.strategy ?? {}

  it('begins with the oldest Node that is promised, and has each later one with support', () => {
    const [, oldest] = /^>=(\d+)\./.exec(manifest.engines.node) ?? []
    expect(matrix?.node).toEqual([Number(oldest), 22, 24])
  })

  it('has every system', () => {
    const systems = [...(matrix?.os ?? []), ...(matrix?.include ?? []).map(({ os }) => os)]
    expect(systems.map((system) => system.split('-')[0])).toEqual(['ubuntu', 'macos', 'windows'])
  })
})

describe('a release', () => {
  it('publishes the tarball that was tested, with provenance and without a token', () => {
    const { package: tested, publish } = release?.jobs ?? {}
    const runs = (job?: Job) => (job?.steps ?? []).map(({ run }) => run ?? '').join('\n')
    expect(runs(tested)).toMatch(/npm pack [\s\S]*PACKED_TARBALL=.* npm test/)
    expect(runs(publish)).toBe('\n\nnpm publish ./*.tgz --provenance --access public')
    expect(publish).toMatchObject({ needs: 'package', permissions: { 'id-token': 'write' } })
    expect(JSON.stringify(release)).not.toMatch(/secrets\.|NODE_AUTH_TOKEN/)
  })

  it('pushes an image for both platforms after it, with a bill of materials and signed provenance', () => {
    const { image } = release?.jobs ?? {}
    expect(image).toMatchObject({ needs: 'publish', permissions: { packages: 'write' } })
    const build = image?.steps.find(({ run }) => run?.includes('buildx build'))?.run ?? 'false'
    const folder = mkdtempSync(join(tmpdir(), 'image-'))
    try {
      const asked = (tag: string) => {
        const docker = `docker() { echo "$@" > asked; echo '{"containerimage.digest":"sha256:1"}' > build.json; }`
        const env = { ...process.env, GITHUB_OUTPUT: join(folder, 'output') }
        const names = { GITHUB_REPOSITORY: 'Acme/The-Proxy', GITHUB_REF_NAME: tag }
        const jq = 'jq() { echo sha256:1; }'
        execFileSync('bash', ['-euc', `${docker}\n${jq}\n${build}`], {
          cwd: folder,
          env: { ...env, ...names },
        })
        return readFileSync(join(folder, 'asked'), 'utf8')
      }
      const released = asked('v1.2.3')
      expect(released).toContain(
        '--platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max',
      )
      expect(released.match(/ghcr\.io\/acme\/the-proxy:[\w.-]+/g)).toEqual([
        'ghcr.io/acme/the-proxy:1.2.3',
        'ghcr.io/acme/the-proxy:1.2',
        'ghcr.io/acme/the-proxy:latest',
      ])
      expect(asked('v1.3.0-rc.1').match(/the-proxy:[\w.-]+/g)).toEqual(['the-proxy:1.3.0-rc.1'])
      expect(readFileSync(join(folder, 'output'), 'utf8')).toContain('digest=sha256:1\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
