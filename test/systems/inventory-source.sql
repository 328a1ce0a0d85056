-- The source of the inventory system: retail analytics in one DuckDB file. Lengths of VARCHAR are intent, DuckDB does not enforce them; foreign keys
-- point at ubicaciones only, since DuckDB refuses to update an indexed column of a row that one references.
CREATE TABLE ubicaciones (
  id                VARCHAR(50) PRIMARY KEY,
  codigo            VARCHAR(50) NOT NULL,
  nombre            VARCHAR(200) NOT NULL,
  tipo              VARCHAR(20) NOT NULL,
  direccion         TEXT,
  visible_pedidos   BOOLEAN DEFAULT true,
  activo            BOOLEAN DEFAULT true,
  created_at        TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at        TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE categorias_config (
  id                VARCHAR(50) PRIMARY KEY,
  nombre            VARCHAR(100) NOT NULL,
  margen_objetivo   DECIMAL(18,2),
  dias_cobertura    INTEGER,
  activo            BOOLEAN DEFAULT true
);

CREATE TABLE proveedores (
  id                     VARCHAR(50) PRIMARY KEY,
  nombre                 VARCHAR(200) NOT NULL,
  direccion              TEXT,
  observaciones          TEXT,
  calificacion_calidad   INTEGER CHECK (calificacion_calidad BETWEEN 1 AND 5),
  activo                 BOOLEAN DEFAULT true
);

CREATE TABLE productos (
  id                      VARCHAR PRIMARY KEY,
  codigo                  VARCHAR(50) NOT NULL,
  descripcion             VARCHAR(200) NOT NULL,
  descripcion_extendida   TEXT,
  categoria               VARCHAR(100),
  abc_classification      VARCHAR(1),
  precio_usd              DECIMAL(18,2),
  costo_usd               DECIMAL(18,2),
  activo                  BOOLEAN DEFAULT true,
  created_at              TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at              TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE producto_ubicacion_config (
  producto_id    VARCHAR NOT NULL,
  ubicacion_id   VARCHAR(50) NOT NULL,
  stock_minimo   DECIMAL(18,2) DEFAULT 0,
  stock_maximo   DECIMAL(18,2) DEFAULT 0,
  punto_reorden  DECIMAL(18,2) DEFAULT 0,
  activo         BOOLEAN DEFAULT true,
  PRIMARY KEY (producto_id, ubicacion_id),
  FOREIGN KEY (ubicacion_id) REFERENCES ubicaciones(id)
);

CREATE TABLE producto_proveedor_config (
  producto_id       VARCHAR NOT NULL,
  proveedor_id      VARCHAR(50) NOT NULL,
  costo_usd         DECIMAL(18,2),
  dias_entrega      INTEGER,
  cantidad_minima   DECIMAL(18,2),
  es_principal      BOOLEAN DEFAULT false,
  PRIMARY KEY (producto_id, proveedor_id)
);

CREATE TABLE facturas (
  id              VARCHAR PRIMARY KEY,
  numero_factura  VARCHAR(50),
  fecha           DATE NOT NULL,
  hora            TIME,
  ubicacion_id    VARCHAR(50) NOT NULL,
  total_usd       DECIMAL(18,2),
  created_at      TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  FOREIGN KEY (ubicacion_id) REFERENCES ubicaciones(id)
);

CREATE TABLE items_facturas (
  id             VARCHAR PRIMARY KEY,
  factura_id     VARCHAR NOT NULL,
  fecha          DATE NOT NULL,
  ubicacion_id   VARCHAR(50) NOT NULL,
  producto_id    VARCHAR NOT NULL,
  cantidad       DECIMAL(18,2) NOT NULL,
  precio_usd     DECIMAL(18,2),
  total_usd      DECIMAL(18,2),
  FOREIGN KEY (ubicacion_id) REFERENCES ubicaciones(id)
);

CREATE TABLE movimientos_inventario (
  id             VARCHAR PRIMARY KEY,
  fecha          TIMESTAMP NOT NULL,
  ubicacion_id   VARCHAR(50) NOT NULL,
  producto_id    VARCHAR NOT NULL,
  tipo           VARCHAR(20),
  cantidad       DECIMAL(18,2) NOT NULL,
  documento      VARCHAR(50),
  observaciones  TEXT,
  FOREIGN KEY (ubicacion_id) REFERENCES ubicaciones(id)
);

CREATE TABLE stock_actual (
  ubicacion_id                VARCHAR(50) NOT NULL,
  producto_id                 VARCHAR NOT NULL,
  cantidad                    DECIMAL(18,2) NOT NULL DEFAULT 0,
  requiere_reposicion         BOOLEAN DEFAULT false,
  fecha_proximo_vencimiento   DATE,
  fecha_actualizacion         TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (ubicacion_id, producto_id),
  FOREIGN KEY (ubicacion_id) REFERENCES ubicaciones(id)
);

CREATE TABLE conjuntos_sustituibles (
  id           VARCHAR(50) PRIMARY KEY,
  nombre       VARCHAR(200) NOT NULL,
  categoria    VARCHAR(100),
  descripcion  TEXT,
  activo       BOOLEAN DEFAULT true
);

CREATE TABLE productos_abc_v2_historico (
  id                  VARCHAR PRIMARY KEY,
  codigo_producto     VARCHAR(50) NOT NULL,
  ubicacion_id        VARCHAR(50) NOT NULL,
  clasificacion_abc   VARCHAR(1),
  clasificacion_xyz   VARCHAR(1),
  valor_consumo       DECIMAL(18,2),
  fecha_calculo       DATE NOT NULL
);

CREATE TABLE clasificacion_abc (
  producto_id     VARCHAR NOT NULL,
  ubicacion_id    VARCHAR(50) NOT NULL,
  clasificacion   VARCHAR(1) NOT NULL,
  fecha_calculo   DATE,
  PRIMARY KEY (producto_id, ubicacion_id)
);

CREATE TABLE nivel_objetivo (
  producto_id      VARCHAR NOT NULL,
  ubicacion_id     VARCHAR(50) NOT NULL,
  nivel_objetivo   DECIMAL(18,2) NOT NULL,
  punto_reorden    DECIMAL(18,2),
  fecha_calculo    DATE,
  PRIMARY KEY (producto_id, ubicacion_id)
);

CREATE TABLE usuarios (
  id              VARCHAR(50) PRIMARY KEY,
  username        VARCHAR(50) NOT NULL,
  password_hash   VARCHAR(255) NOT NULL,
  nombre          VARCHAR(100),
  email           VARCHAR(100),
  rol             VARCHAR(20) DEFAULT 'viewer',
  activo          BOOLEAN DEFAULT true,
  ultimo_acceso   TIMESTAMP,
  created_at      TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE pedidos_sugeridos (
  id                  VARCHAR PRIMARY KEY,
  ubicacion_id        VARCHAR(50) NOT NULL,
  producto_id         VARCHAR NOT NULL,
  cantidad_sugerida   DECIMAL(18,2) NOT NULL,
  estado              VARCHAR(20) DEFAULT 'borrador',
  fecha               DATE NOT NULL,
  usuario_id          VARCHAR(50),
  created_at          TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_facturas_fecha_ubicacion ON facturas(fecha, ubicacion_id);
CREATE INDEX idx_items_fecha_producto ON items_facturas(fecha, producto_id);
CREATE INDEX idx_movimientos_fecha_ubicacion_producto ON movimientos_inventario(fecha, ubicacion_id, producto_id);
CREATE INDEX idx_producto_ubicacion_activo ON producto_ubicacion_config(ubicacion_id, activo);
CREATE INDEX idx_productos_categoria ON productos(categoria, activo);
CREATE INDEX idx_productos_abc ON productos(abc_classification, activo);
CREATE INDEX idx_stock_ubicacion ON stock_actual(ubicacion_id);
CREATE INDEX idx_stock_reposicion ON stock_actual(requiere_reposicion);
CREATE INDEX idx_conjuntos_nombre ON conjuntos_sustituibles(nombre);
CREATE INDEX idx_conjuntos_categoria ON conjuntos_sustituibles(categoria);
CREATE INDEX idx_historico_codigo ON productos_abc_v2_historico(codigo_producto);
CREATE INDEX idx_historico_ubicacion ON productos_abc_v2_historico(ubicacion_id);
CREATE INDEX idx_historico_fecha ON productos_abc_v2_historico(fecha_calculo);

CREATE VIEW productos_ubicacion_completa AS
SELECT p.id AS producto_id, p.codigo, p.descripcion, p.categoria, p.abc_classification,
       u.id AS ubicacion_id, u.nombre AS ubicacion, u.tipo,
       c.stock_minimo, c.stock_maximo, c.punto_reorden, c.activo,
       coalesce(s.cantidad, 0) AS cantidad, s.requiere_reposicion, s.fecha_proximo_vencimiento
FROM producto_ubicacion_config c
JOIN productos p ON p.id = c.producto_id
JOIN ubicaciones u ON u.id = c.ubicacion_id
LEFT JOIN stock_actual s ON s.producto_id = c.producto_id AND s.ubicacion_id = c.ubicacion_id;

CREATE VIEW alertas_inventario AS
SELECT s.ubicacion_id, s.producto_id, s.cantidad, s.fecha_proximo_vencimiento,
       CASE WHEN s.cantidad <= 0 THEN 'sin_stock'
            WHEN s.requiere_reposicion THEN 'reposicion'
            ELSE 'vencimiento' END AS alerta
FROM stock_actual s
WHERE s.cantidad <= 0
   OR s.requiere_reposicion = true
   OR s.fecha_proximo_vencimiento <= CURRENT_DATE + INTERVAL 30 DAY;
