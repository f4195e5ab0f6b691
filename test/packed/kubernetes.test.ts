import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget'
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap'
import { Secret } from 'kubernetes-models/v1/Secret'
import { Service } from 'kubernetes-models/v1/Service'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import schema from '../../config-schema.json' with { type: 'json' }
import { runCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'

const FOLDER = fileURLToPath(new URL('../../deploy/kubernetes', import.meta.url))

interface Model {
  apiVersion: string
  kind: string
  new (manifest: never): { validate(): void }
}
const MODELS: readonly Model[] = [
  ConfigMap,
  Deployment,
  HorizontalPodAutoscaler,
  Ingress,
  NetworkPolicy,
  PodDisruptionBudget,
  Secret,
  Service,
]

interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; labels: Record<string, string> }
  // Checked against the API's own schema below.
  spec: ReturnType<typeof JSON.parse>
  data: Record<string, string>
  stringData: Record<string, string>
}

const manifests = readdirSync(FOLDER).flatMap((name) =>
  parseAllDocuments(readFileSync(join(FOLDER, name), 'utf8')).map(
    (document): Manifest => document.toJS({ maxAliasCount: 0 }),
  ),
)
const find = (kind: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind)
  if (found === undefined) throw new Error(`there is no ${kind}`)
  return found
}

/** Checks against the schema that the Kubernetes API publishes for this kind. */
function validate(manifest: Manifest): void {
  const { apiVersion, kind } = manifest
  const Model = MODELS.find((model) => model.kind === kind && model.apiVersion === apiVersion)
  if (Model === undefined) throw new Error(`there is no ${kind} in ${apiVersion}`)
  new Model(manifest as never).validate()
}

describe('the manifests for Kubernetes', () => {
  const pod = () => find('Deployment').spec.template.spec
  const container = () => pod().containers[0]

  it('are these', () => {
    expect(manifests.map(({ kind }) => kind).sort()).toEqual(MODELS.map(({ kind }) => kind))
  })

  it.each(manifests)('$kind fits the schema of the API', (manifest) => {
    expect(() => validate(manifest)).not.toThrow()
  })

  it('are checked by a schema that finds mistakes', () => {
    const { spec, ...rest } = find('Deployment')
    expect(() => validate({ ...rest, spec: { ...spec, replicas: 'two' } })).toThrow('replicas')
    expect(() => validate({ ...rest, spec: { ...spec, selector: undefined } })).toThrow('selector')
  })

  it('select the pods of the deployment, by one label', () => {
    const { labels } = find('Deployment').spec.template.metadata
    expect(find('Deployment').spec.selector.matchLabels).toEqual(labels)
    expect(find('Service').spec.selector).toEqual(labels)
    expect(find('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels)
    expect(find('NetworkPolicy').spec.podSelector.matchLabels).toEqual(labels)
    expect(find('HorizontalPodAutoscaler').spec.scaleTargetRef.name).toBe(
      find('Deployment').metadata.name,
    )
  })

  it('lead from the ingress to the port that the program listens on', () => {
    const [{ host, http }] = find('Ingress').spec.rules
    const { name, port } = http.paths[0].backend.service
    expect(name).toBe(find('Service').metadata.name)
    const service = find('Service').spec.ports.find(
      (one: { name: string }) => one.name === port.name,
    )
    const ports = new Map(
      container().ports.map((one: { name: string; containerPort: number }) => [
        one.name,
        one.containerPort,
      ]),
    )
    const { server } = JSON.parse(Object.values(find('ConfigMap').data)[0] ?? '')
    expect(ports.get(service.targetPort)).toBe(server.port)
    expect(ports.get('metrics')).toBe(server.metricsPort)
    expect(server.publicUrl).toBe(`https://${host}`)
    expect(find('Ingress').spec.tls[0].hosts).toEqual([host])
  })

  it('open the metrics to the pods of Prometheus alone, and the endpoint to all', () => {
    interface Rule {
      from?: { namespaceSelector?: object; podSelector?: object }[]
      ports: { port: string }[]
    }
    const rules: Rule[] = find('NetworkPolicy').spec.ingress
    const rulesOf = (port: string) =>
      rules.filter(({ ports }) => ports.some((p) => p.port === port))
    expect(rulesOf('http')).toEqual([{ ports: [{ port: 'http', protocol: 'TCP' }] }])
    expect(rulesOf('metrics')).toEqual([
      {
        // one item: both must hold
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } },
            podSelector: { matchLabels: { 'app.kubernetes.io/name': 'prometheus' } },
          },
        ],
        ports: [{ port: 'metrics', protocol: 'TCP' }],
      },
    ])
    const { server } = JSON.parse(Object.values(find('ConfigMap').data)[0] ?? '')
    expect(server.metricsHost).toBe('0.0.0.0')
  })

  it('ask the program for its health where it tells it', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container()
    expect([startupProbe, livenessProbe].map(({ httpGet }) => httpGet.path)).toEqual([
      '/healthz',
      '/healthz',
    ])
    expect(readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' })
  })

  it('wait longer than running calls may take at the end', () => {
    const drain = schema.properties.timeouts.properties.drain.default
    const pause = Number(container().lifecycle.preStop.exec.command[1])
    expect(pod().terminationGracePeriodSeconds).toBeGreaterThan(drain + pause)
  })

  it('meet the restricted Pod Security Standard, with nothing to write on', () => {
    expect(pod().securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container().securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(pod().automountServiceAccountToken).toBe(false)
    expect(pod()).not.toHaveProperty('hostNetwork')
  })

  it('hold a configuration that is valid with the secret filled in, and refused without', async () => {
    const [[name = '', text = ''] = []] = Object.entries(find('ConfigMap').data)
    const file = container().args.at(-1)
    expect(file).toBe(`${container().volumeMounts[0].mountPath}/${name}`)
    const folder = createFolder()
    const local = join(folder, name)
    const url = 'https://api.descope.com/v1/apps/agentic/P2abcdefghijklmnopqrstuvwxyz0/MS2abc/'
    writeFileSync(local, text.replace(/https:\/\/api\.descope\.com\/\S+?(?=\.well-known)/, url))
    const env = Object.fromEntries(
      Object.keys(find('Secret').stringData).map((key) => [key, 'x'.repeat(64)]),
    )
    const good = await runCli(['config', 'validate', '--config', local], { cwd: folder, env })
    expect(good.status).toBe(0)
    expect(good.stderr).toMatch(
      /^warning: The credential of target "target" goes over plain http .*\n$/,
    )
    const empty = find('Secret').stringData
    expect(Object.values(empty).join('')).toBe('')
    const bad = await runCli(['config', 'validate', '--config', local], { cwd: folder, env: empty })
    expect(bad.status).toBe(2)
    for (const key of ['session.secret', 'targets.target.credential.token']) {
      expect(bad.stderr).toContain(`${key} is invalid`)
    }
  })
})
